//! Proof of work: signed challenges and the verification of solutions.
//!
//! Invariant: a token is accepted only with the server's signature, before its expiry and for at least the required
//! difficulty; the store makes sure that it is accepted only once. Must never keep state: unsolved challenges cost
//! nothing.

use crate::clock::UnixSeconds;
use crate::crypto;

/// A challenge: find a decimal number for which SHA-256 of `nonce:number` begins with `difficulty` zero bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// 32 random hex digits.
    pub nonce: String,
    /// Required leading zero bits.
    pub difficulty: u8,
    /// The expiry of the token.
    pub expires: UnixSeconds,
}

/// Why a token or its solution is refused.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The signature, the form or the solution is wrong.
    Invalid,
    /// The token has expired.
    Expired,
}

impl Challenge {
    /// The token that carries this challenge: `nonce.expires.difficulty.hmac`.
    pub fn token(&self, secret: &[u8]) -> String {
        let signed = format!("{}.{}.{}", self.nonce, self.expires, self.difficulty);
        let mac = crypto::hmac_sha256(secret, signed.as_bytes());
        format!("{signed}.{}", crypto::hex(&mac))
    }

    /// Parses and verifies a token; `None` if the signature is wrong.
    fn from_token(token: &str, secret: &[u8]) -> Option<Self> {
        let mut fields = token.split('.');
        let nonce = fields.next().filter(|nonce| nonce.len() == 32)?.to_owned();
        let expires = fields.next()?.parse().ok()?;
        let difficulty = fields.next()?.parse().ok()?;
        let challenge = Self { nonce, difficulty, expires };
        // Signing again and comparing the complete text also refuses other spellings of the fields.
        crypto::equal(challenge.token(secret).as_bytes(), token.as_bytes()).then_some(challenge)
    }

    /// Checks a solution: 1 to 20 decimal digits whose hash begins with enough zero bits.
    pub fn is_solved_by(&self, solution: &str) -> bool {
        let is_number = (1..=20).contains(&solution.len()) && solution.bytes().all(|b| b.is_ascii_digit());
        is_number
            && leading_zero_bits(&crypto::sha256(format!("{}:{solution}", self.nonce).as_bytes()))
                >= u32::from(self.difficulty)
    }

    /// The key of a spent token in the store: expiry and nonce, so that the oldest sort first.
    pub fn spent_key(&self) -> Vec<u8> {
        let mut key = self.expires.to_be_bytes().to_vec();
        key.extend_from_slice(self.nonce.as_bytes());
        key
    }
}

/// Checks a token and its solution.
///
/// # Errors
/// [`Refusal`], when it is not ours, not solved, below `difficulty`, or expired.
pub fn check(
    secret: &[u8],
    token: &str,
    solution: &str,
    difficulty: u8,
    now: UnixSeconds,
) -> Result<Challenge, Refusal> {
    let challenge = Challenge::from_token(token, secret).ok_or(Refusal::Invalid)?;
    if now >= challenge.expires {
        return Err(Refusal::Expired);
    }
    if challenge.difficulty < difficulty || !challenge.is_solved_by(solution) {
        return Err(Refusal::Invalid);
    }
    Ok(challenge)
}

/// The number of leading zero bits of a digest.
pub fn leading_zero_bits(digest: &[u8]) -> u32 {
    let zero_bytes = digest.iter().take_while(|byte| **byte == 0).count();
    let in_next = digest.get(zero_bytes).map_or(0, |byte| byte.leading_zeros());
    u32::try_from(zero_bytes * 8).map_or(u32::MAX, |bits| bits + in_next)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn challenge() -> Challenge {
        Challenge { nonce: "0123456789abcdef0123456789abcdef".into(), difficulty: 8, expires: 1000 }
    }

    fn solve(challenge: &Challenge) -> String {
        (0u64..1 << 20).map(|n| n.to_string()).find(|solution| challenge.is_solved_by(solution)).unwrap()
    }

    #[test]
    fn a_solved_token_is_accepted_until_it_expires() {
        let token = challenge().token(b"secret");
        let solution = solve(&challenge());
        assert_eq!(check(b"secret", &token, &solution, 8, 999), Ok(challenge()));
        assert_eq!(check(b"secret", &token, &solution, 8, 1000), Err(Refusal::Expired));
        assert_eq!(check(b"secret", &token, &solution, 9, 999), Err(Refusal::Invalid));
        assert_eq!(check(b"other", &token, &solution, 8, 999), Err(Refusal::Invalid));
    }

    #[test]
    fn every_changed_byte_breaks_the_signature() {
        let token = challenge().token(b"secret");
        let solution = solve(&challenge());
        for at in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
            let forged = String::from_utf8(bytes).unwrap();
            assert_eq!(check(b"secret", &forged, &solution, 8, 999), Err(Refusal::Invalid), "{forged}");
        }
        for forged in
            ["", ".", "....", &format!("{token}0"), &token.replace(".1000.", ".01000."), &token.to_uppercase()]
        {
            assert_eq!(check(b"secret", forged, &solution, 8, 999), Err(Refusal::Invalid), "{forged}");
        }
    }

    #[test]
    fn only_decimal_numbers_are_solutions() {
        let easy = Challenge { difficulty: 0, ..challenge() };
        assert!(easy.is_solved_by("0") && easy.is_solved_by("18446744073709551615"));
        for text in ["", "-1", "+1", "1.0", "0x1", " 1", "٣", "123456789012345678901"] {
            assert!(!easy.is_solved_by(text), "{text}");
        }
    }

    #[test]
    fn zero_bits_are_counted_across_bytes() {
        assert_eq!(leading_zero_bits(&[0x80]), 0);
        assert_eq!(leading_zero_bits(&[0, 0x0f]), 12);
        assert_eq!(leading_zero_bits(&[0, 0]), 16);
    }
}
