// SPDX-License-Identifier: GPL-2.0-only
/* The sysfs group <disk>/dax_holder; the answers come from src/observe/attributes.rs. */
#include <linux/device.h>
#include <linux/sysfs.h>

#include "helpers.h"

#define SHOW(_name, _which)								\
static ssize_t _name##_show(struct device *dev, struct device_attribute *attr, char *buf) \
{											\
	return dax_holder_attribute_show(dev, _which, buf);				\
}
#define STORE(_name, _which)								\
static ssize_t _name##_store(struct device *dev, struct device_attribute *attr,	\
			     const char *buf, size_t count)				\
{											\
	return dax_holder_attribute_store(dev, _which, buf, count);			\
}

SHOW(attached, DH_ATTACHED)
STORE(attached, DH_ATTACHED)
static DEVICE_ATTR_RW(attached);
SHOW(state, DH_STATE)
static DEVICE_ATTR_RO(state);
SHOW(reason, DH_REASON)
static DEVICE_ATTR_RO(reason);
SHOW(policy, DH_POLICY)
STORE(policy, DH_POLICY)
static DEVICE_ATTR_RW(policy);
SHOW(last_event, DH_LAST_EVENT)
static DEVICE_ATTR_RO(last_event);
STORE(clear, DH_CLEAR)
static DEVICE_ATTR_WO(clear);

static struct attribute *dax_holder_attributes[] = {
	&dev_attr_attached.attr,
	&dev_attr_state.attr,
	&dev_attr_reason.attr,
	&dev_attr_policy.attr,
	&dev_attr_last_event.attr,
	&dev_attr_clear.attr,
	NULL,
};

static const struct attribute_group dax_holder_group = {
	.name = "dax_holder",
	.attrs = dax_holder_attributes,
};

int dh_attributes_add(struct device *dev)
{
	return device_add_group(dev, &dax_holder_group);
}

void dh_attributes_remove(struct device *dev)
{
	device_remove_group(dev, &dax_holder_group);
}
