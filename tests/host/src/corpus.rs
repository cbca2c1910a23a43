// SPDX-License-Identifier: GPL-2.0-only

//! What the fuzzer has found worth keeping, and a walk from there.

use crate::fuzz;

/// Inputs that between them reach all that the fuzzer has reached: one a line, in hexadecimal.
const CORPUS: &str = include_str!("../corpus.txt");

/// How many changed inputs are tried on the way.
const WALK: u64 = 200_000;

fn inputs() -> Vec<Vec<u8>> {
    let input = |line: &str| {
        assert!(line.len() % 2 == 0, "half a byte: {line}");
        let pairs = (0..line.len()).step_by(2);
        pairs
            .map(|at| u8::from_str_radix(&line[at..at + 2], 16).unwrap())
            .collect()
    };
    let lines = CORPUS.lines().filter(|line| !line.starts_with('#'));
    lines.map(input).collect()
}

/// Every input of the corpus.
#[test]
fn corpus() {
    let inputs = inputs();
    assert!(inputs.len() > 50);
    for input in inputs {
        fuzz::one(&input);
    }
}

/// The corpus with bytes changed, taken out and taken from another input; the same on every run.
#[test]
fn around_the_corpus() {
    let inputs = inputs();
    let mut state = 4711u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below.max(1) as u64) as usize
    };
    for _ in 0..WALK {
        let mut input = inputs[random(inputs.len())].clone();
        for _ in 0..1 + random(4) {
            let at = random(input.len());
            match random(4) {
                0 if !input.is_empty() => input[at] = random(256) as u8,
                1 if !input.is_empty() => input[at] ^= 1 << random(8),
                2 if !input.is_empty() => {
                    input.drain(at..(at + 1 + random(8)).min(input.len()));
                }
                _ => {
                    let other = &inputs[random(inputs.len())];
                    input.truncate(at);
                    input.extend_from_slice(&other[random(other.len())..]);
                }
            }
        }
        input.truncate(128);
        // What a failure is of is all that there is to say; the panic says the rest.
        let result = std::panic::catch_unwind(|| fuzz::one(&input));
        let hex: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(result.is_ok(), "with this line in corpus.txt: {hex}");
    }
}
