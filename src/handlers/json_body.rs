//! The JSON form of a create: `{"content": …, "expiry"?: …, "burn_after_read"?: …, "reads"?: …, "password"?: …,
//! "read_proof_sha256"?: …, "password_proof_sha256"?: …}`.
//!
//! `burn` is another name of `burn_after_read`, as in a form.
//!
//! Invariant: memory is limited to the size of the body; unknown fields are skipped without being parsed. Must never
//! guess: a field of the wrong type, and an unknown one that looks like an option, is refused.

use super::option_names::check_unknown;
use crate::error::ApiError;
use crate::paste::parse_expiry_seconds;
use serde_core::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// The fields of the object as raw text, so that each gets its own error.
#[derive(Default)]
pub struct JsonBody<'a> {
    content: Option<&'a RawValue>,
    expiry: Option<&'a RawValue>,
    burn_after_read: Option<&'a RawValue>,
    password: Option<&'a RawValue>,
    reads: Option<&'a RawValue>,
    read_proof_sha256: Option<&'a RawValue>,
    password_proof_sha256: Option<&'a RawValue>,
    /// Whether a field is duplicated.
    is_ambiguous: bool,
    /// The refusal of an unknown field that looks like an option.
    misspelled: Option<ApiError>,
}

impl<'a> JsonBody<'a> {
    /// Parses a body.
    ///
    /// # Errors
    /// `invalid_json` when it is not one JSON object in UTF-8.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ApiError> {
        let mut body: Self = serde_json::from_slice(bytes).map_err(|error| {
            ApiError::InvalidJson(match error.classify() {
                serde_json::error::Category::Data => "The JSON body is not an object.",
                serde_json::error::Category::Eof => "The JSON body is truncated.",
                _ => "The body is not valid JSON.",
            })
        })?;
        if let Some(refusal) = body.misspelled.take() {
            return Err(refusal);
        }
        // Refused, as the sender may rely on a protection that only one of them has.
        if body.is_ambiguous { Err(ApiError::InvalidJson("The JSON body has a duplicate field.")) } else { Ok(body) }
    }

    /// The text to store.
    ///
    /// # Errors
    /// `invalid_json` when it is missing or not a string.
    pub fn content(&self) -> Result<String, ApiError> {
        text(self.content).ok_or(ApiError::InvalidJson("The JSON body has no string \"content\"."))
    }

    /// The custom expiry in seconds; `null` counts as absent.
    ///
    /// # Errors
    /// `invalid_expiry` when it is not a positive whole number.
    pub fn expiry_seconds(&self) -> Result<Option<u64>, ApiError> {
        let expiry = present(self.expiry);
        expiry.map(|number| parse_expiry_seconds(number).ok_or(ApiError::InvalidExpiry)).transpose()
    }

    /// Whether the paste is deleted after the first read.
    ///
    /// # Errors
    /// `invalid_json` when it is not a boolean.
    pub fn burn_after_read(&self) -> Result<Option<bool>, ApiError> {
        match present(self.burn_after_read) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => Err(ApiError::InvalidJson("\"burn_after_read\" must be true or false.")),
        }
    }

    /// The password.
    ///
    /// # Errors
    /// `invalid_json` when it is not a string.
    pub fn password(&self) -> Result<Option<String>, ApiError> {
        match present(self.password) {
            None => Ok(None),
            Some(_) => text(self.password).map(Some).ok_or(ApiError::InvalidJson("\"password\" must be a string.")),
        }
    }

    /// The read limit, as raw text.
    pub fn reads(&self) -> Option<&str> {
        present(self.reads)
    }

    /// The hash of the link proof; an error if it is not a string.
    pub fn read_proof_sha256(&self) -> Option<Result<String, ApiError>> {
        hash(self.read_proof_sha256, "\"read_proof_sha256\" must be a string.")
    }

    /// The hash of the password proof; an error if it is not a string.
    pub fn password_proof_sha256(&self) -> Option<Result<String, ApiError>> {
        hash(self.password_proof_sha256, "\"password_proof_sha256\" must be a string.")
    }
}

fn hash(value: Option<&RawValue>, refusal: &'static str) -> Option<Result<String, ApiError>> {
    present(value).map(|_| text(value).ok_or(ApiError::BadRequest(refusal)))
}

fn present(value: Option<&RawValue>) -> Option<&str> {
    value.map(RawValue::get).filter(|text| *text != "null")
}

fn text(value: Option<&RawValue>) -> Option<String> {
    serde_json::from_str(value?.get()).ok()
}

impl<'de: 'a, 'a> Deserialize<'de> for JsonBody<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(BodyVisitor)
    }
}

struct BodyVisitor;

impl<'de> Visitor<'de> for BodyVisitor {
    type Value = JsonBody<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<JsonBody<'de>, A::Error> {
        let mut body = JsonBody::default();
        while let Some(name) = map.next_key::<std::borrow::Cow<'_, str>>()? {
            let field = match name.as_ref() {
                "content" => &mut body.content,
                "expiry" => &mut body.expiry,
                "burn" | "burn_after_read" => &mut body.burn_after_read,
                "password" => &mut body.password,
                "reads" => &mut body.reads,
                "read_proof_sha256" => &mut body.read_proof_sha256,
                "password_proof_sha256" => &mut body.password_proof_sha256,
                unknown => {
                    body.misspelled = body.misspelled.or(check_unknown(unknown).err());
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            let value = map.next_value()?;
            body.is_ambiguous |= field.replace(value).is_some();
        }
        Ok(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> JsonBody<'_> {
        JsonBody::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error:?}"))
    }

    #[test]
    fn all_fields_are_parsed() {
        let body = parse(r#"{"content":"a\nß\u00e4","expiry":60,"burn_after_read":true,"password":"x","other":[{}]}"#);
        assert_eq!(body.content().unwrap(), "a\nßä");
        assert_eq!(body.expiry_seconds().unwrap(), Some(60));
        assert_eq!(body.burn_after_read().unwrap(), Some(true));
        assert_eq!(body.password().unwrap().unwrap(), "x");
    }

    #[test]
    fn null_fields_count_as_absent() {
        for text in [r#"{"content":"a"}"#, r#"{"content":"a","expiry":null,"burn_after_read":null,"password":null}"#] {
            let body = parse(text);
            assert_eq!(body.expiry_seconds().unwrap(), None);
            assert_eq!(body.burn_after_read().unwrap(), None);
            assert_eq!(body.password().unwrap(), None);
        }
    }

    #[test]
    fn anything_but_an_object_is_refused() {
        for text in ["", "{", "[]", "\"text\"", "1", "{\"content\":}", "{} x", "nul", "\u{feff}{}", "{\"a\":1,}"] {
            assert!(matches!(JsonBody::parse(text.as_bytes()), Err(ApiError::InvalidJson(_))), "{text:?}");
        }
        assert!(JsonBody::parse(b"{\"content\":\"\xff\"}").is_err());
        assert!(JsonBody::parse("[".repeat(100_000).as_bytes()).is_err());
        assert!(JsonBody::parse(format!("{{\"a\":{}", "[".repeat(100_000)).as_bytes()).is_err());
    }

    #[test]
    fn fields_of_the_wrong_type_are_refused() {
        for content in ["1", "null", "[]", "{}", "true", "\"\\ud800\""] {
            let text = format!("{{\"content\":{content}}}");
            let body = JsonBody::parse(text.as_bytes());
            assert!(body.is_err() || body.is_ok_and(|body| body.content().is_err()), "{content}");
        }
        for expiry in ["0", "-1", "1.5", "1.0", "1e3", "\"60\"", "true", "[]"] {
            assert!(parse(&format!("{{\"expiry\":{expiry}}}")).expiry_seconds().is_err(), "{expiry}");
        }
        assert_eq!(parse("{\"expiry\":99999999999999999999999}").expiry_seconds().unwrap(), Some(u64::MAX));
        assert!(parse("{\"burn_after_read\":1}").burn_after_read().is_err());
        assert!(parse("{\"password\":5}").password().is_err());
    }
}
