//! Reads selected fields of JSON objects and skips the others.
//!
//! Invariant: a skipped value must be JSON, however deep or large, and is never built in memory. Of duplicate fields
//! the last one counts, as in every browser. Must never accept invalid JSON.

use serde_core::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// The names of the selected fields.
pub struct Fields<'n, const N: usize>(pub [&'n str; N]);

/// The raw values of the fields; `None` if missing.
pub type Written<'a, const N: usize> = [Option<&'a RawValue>; N];

impl<const N: usize> Fields<'_, N> {
    /// Reads the fields from a JSON object; `None` if the text is not a JSON object.
    pub fn of<'t>(&self, text: &'t str) -> Option<Written<'t, N>> {
        // Validates all of it, including skipped names, which are not checked as strictly below.
        let IgnoredAny = serde_json::from_str(text).ok()?;
        self.deserialize(&mut serde_json::Deserializer::from_str(text)).ok()
    }
}

impl<'de, const N: usize> DeserializeSeed<'de> for &Fields<'_, N> {
    type Value = Written<'de, N>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, const N: usize> Visitor<'de> for &Fields<'_, N> {
    type Value = Written<'de, N>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut written = [None; N];
        while let Some(place) = map.next_key_seed(Place(&self.0))? {
            match place.and_then(|at| written.get_mut(at)) {
                Some(field) => *field = Some(map.next_value()?),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(written)
    }
}

/// Deserializes a name to its index among the selected ones. Read as bytes: it may not be valid Unicode.
struct Place<'n>(&'n [&'n str]);

impl<'de> DeserializeSeed<'de> for Place<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_bytes(self)
    }
}

impl Visitor<'_> for Place<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_bytes<E: Error>(self, name: &[u8]) -> Result<Self::Value, E> {
        Ok(self.0.iter().position(|wanted| wanted.as_bytes() == name))
    }
}

/// Reads a list of objects one by one; more than `most` are an error.
pub struct List<'n, const N: usize, F> {
    /// The fields of each object.
    pub fields: Fields<'n, N>,
    /// Converts the fields; `None` if they are invalid.
    pub read: F,
    /// The maximum number of objects.
    pub most: usize,
}

impl<const N: usize, T, F: Fn(&Written<'_, N>) -> Option<T>> List<'_, N, F> {
    /// Reads a text that is known to be JSON; `None` if it is not a list, or too long.
    pub fn of(&self, text: &str) -> Option<Vec<T>> {
        self.deserialize(&mut serde_json::Deserializer::from_str(text)).ok()
    }
}

impl<'de, const N: usize, T, F: Fn(&Written<'_, N>) -> Option<T>> DeserializeSeed<'de> for &List<'_, N, F> {
    type Value = Vec<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, const N: usize, T, F: Fn(&Written<'_, N>) -> Option<T>> Visitor<'de> for &List<'_, N, F> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut all = Vec::new();
        while let Some(written) = list.next_element_seed(&self.fields)? {
            if all.len() == self.most {
                return Err(A::Error::custom("too many"));
            }
            all.push((self.read)(&written).ok_or_else(|| A::Error::custom("a field of another type"))?);
        }
        Ok(all)
    }
}

/// Parses a string.
pub fn text(json: &RawValue) -> Option<String> {
    serde_json::from_str(json.get()).ok()
}

/// Parses a boolean.
pub fn flag(json: &RawValue) -> Option<bool> {
    json.get().parse().ok()
}

/// Parses a whole number below 2^53 in any notation: in JSON, 1, 1.0 and 1e0 are the same number. Parsed as browsers
/// do, so that both accept the same numbers.
pub fn whole_number(json: &RawValue) -> Option<u64> {
    let number: f64 = json.get().parse().ok()?;
    let is_whole = number.fract() == 0.0 && (0.0..9_007_199_254_740_992.0).contains(&number);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is whole and in range")]
    is_whole.then_some(number as u64)
}
