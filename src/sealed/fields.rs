//! JSON objects of which some fields are wanted, and whatever else there is passed over.
//!
//! Invariant: what is passed over only has to be JSON, however deep, large or odd it is, and nothing of it is built in
//! memory. Of two fields of one name the last counts, as in every browser. Must never take what is no JSON.

use serde_core::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// The fields of these names, each as it was written.
pub struct Fields<'n, const N: usize>(pub [&'n str; N]);

/// What was written for the fields, `None` where one is missing.
pub type Written<'a, const N: usize> = [Option<&'a RawValue>; N];

impl<const N: usize> Fields<'_, N> {
    /// Those of the object that a text is; `None` where it is no JSON, or no object.
    pub fn of<'t>(&self, text: &'t str) -> Option<Written<'t, N>> {
        // All of it, names that are passed over included, which are not looked at as closely below.
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

/// Where a name stands among those that are wanted. Read as bytes: it may be none that text can hold.
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

/// A list of objects, each read from its fields as soon as it was written; one more than `most` is an error.
pub struct List<'n, const N: usize, F> {
    /// The fields of each.
    pub fields: Fields<'n, N>,
    /// What is made of them; `None`: it cannot be.
    pub read: F,
    /// Most objects.
    pub most: usize,
}

impl<const N: usize, T, F: Fn(&Written<'_, N>) -> Option<T>> List<'_, N, F> {
    /// The list that a text is, which is known to be JSON; `None` where it is none, or too long.
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

/// A string.
pub fn text(json: &RawValue) -> Option<String> {
    serde_json::from_str(json.get()).ok()
}

/// True or false.
pub fn flag(json: &RawValue) -> Option<bool> {
    json.get().parse().ok()
}

/// A whole number below 2^53, however it is written: JSON has one kind of number, and 1, 1.0 and 1e0 are the same one.
/// Taken as browsers take it, so that both find the same numbers whole.
pub fn whole_number(json: &RawValue) -> Option<u64> {
    let number: f64 = json.get().parse().ok()?;
    let is_whole = number.fract() == 0.0 && (0.0..9_007_199_254_740_992.0).contains(&number);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is whole and in the range")]
    is_whole.then_some(number as u64)
}
