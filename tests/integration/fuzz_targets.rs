//! The fuzz targets, with their seeds and a few thousand deterministic mutations of each.

#[path = "../fuzz/connections.rs"]
mod connections;
#[path = "../fuzz/targets.rs"]
mod targets;

use std::fs;
use std::path::Path;

/// Mutations per seed.
const CHANGES: usize = 3000;

/// xorshift64*: the same inputs on every machine.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).unwrap() % bound.max(1)
    }
}

/// A seed with some bytes changed, dropped, doubled, or taken from another one.
pub fn change(seed: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    const TELLING: &[u8] = b"\0\r\n \t\"\\:;,=-+%/#{}[]09aAzZ\x7f\x80\xff";
    let mut bytes = seed.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        match random.below(5) {
            0 => bytes.insert(at, TELLING[random.below(TELLING.len())]),
            1 if at < bytes.len() => bytes[at] = u8::try_from(random.below(256)).unwrap(),
            2 if at < bytes.len() => drop(bytes.remove(at)),
            3 => {
                let piece = bytes[at..].to_vec();
                bytes.extend(piece);
            }
            _ => {
                let from = random.below(other.len() + 1);
                bytes.splice(at..at, other[from..].iter().copied());
            }
        }
    }
    bytes.truncate(20_000);
    bytes
}

/// The seeds of a target.
pub fn seeds(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/seeds").join(name);
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 2, "{name}");
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

#[test]
fn every_parser_survives_its_seeds_and_mutations() {
    let mut random = Random(0x5eed);
    for (name, target) in targets::TARGETS {
        let seeds = seeds(name);
        // A connection takes a hundred times as long as a parser, and so does an upload that must be sealed first.
        let changes = if matches!(*name, "connection" | "sealed") { CHANGES / 20 } else { CHANGES };
        for seed in &seeds {
            target(seed);
            for _ in 0..changes {
                let other = &seeds[random.below(seeds.len())];
                target(&change(seed, other, &mut random));
            }
        }
    }
}
