//! A fuzz target, selected by the name of the program.
#![no_main]

mod connections;
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mine = targets::TARGETS.iter().find(|(name, _)| *name == env!("CARGO_BIN_NAME"));
    mine.expect("no such target").1(data);
});
