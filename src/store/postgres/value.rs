//! Values of statements, each with its SQL type, so that the server does not have to infer it.
//!
//! Invariant: numbers that do not fit PostgreSQL's signed types saturate. Must never copy content.

use super::super::model::{Handle, RowKey};
use super::fault::Fault;
use crate::clock::UnixSeconds;
use crate::crypto::Sha256Digest;
use std::error::Error;
use tokio_postgres::Row;
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

/// A value of a statement.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'a> {
    Int(Option<i64>),
    Bool(bool),
    Bytes(Option<&'a [u8]>),
    Text(Option<&'a str>),
    Ints(&'a [i64]),
    OptionalInts(&'a [Option<i64>]),
}

impl Value<'_> {
    pub(super) fn sql_type(&self) -> Type {
        match self {
            Self::Int(_) => Type::INT8,
            Self::Bool(_) => Type::BOOL,
            Self::Bytes(_) => Type::BYTEA,
            Self::Text(_) => Type::TEXT,
            Self::Ints(_) | Self::OptionalInts(_) => Type::INT8_ARRAY,
        }
    }
}

impl ToSql for Value<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Self::Int(value) => value.to_sql(ty, out),
            Self::Bool(value) => value.to_sql(ty, out),
            Self::Bytes(value) => value.to_sql(ty, out),
            Self::Text(value) => value.to_sql(ty, out),
            Self::Ints(values) => values.to_sql(ty, out),
            Self::OptionalInts(values) => values.to_sql(ty, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        // Every statement declares its types with [`Value::sql_type`].
        true
    }

    to_sql_checked!();
}

/// A number as a PostgreSQL type.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl From<u64> for Value<'_> {
    fn from(number: u64) -> Self {
        Self::Int(Some(signed(number)))
    }
}

impl From<Option<u64>> for Value<'_> {
    fn from(number: Option<u64>) -> Self {
        Self::Int(number.map(signed))
    }
}

impl From<RowKey> for Value<'_> {
    fn from(key: RowKey) -> Self {
        Self::Int(Some(key.0))
    }
}

impl From<Handle> for Value<'_> {
    fn from(handle: Handle) -> Self {
        Self::Int(Some(handle.0.cast_signed()))
    }
}

impl From<bool> for Value<'_> {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Bytes(Some(bytes))
    }
}

impl<'a> From<&'a Sha256Digest> for Value<'a> {
    fn from(digest: &'a Sha256Digest) -> Self {
        Self::Bytes(Some(digest))
    }
}

impl<'a> From<Option<&'a Sha256Digest>> for Value<'a> {
    fn from(digest: Option<&'a Sha256Digest>) -> Self {
        Self::Bytes(digest.map(<[u8; 32]>::as_slice))
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Some(text))
    }
}

/// Columns of a row by name, as our own types.
pub(super) trait Columns {
    fn int(&self, name: &str) -> Result<Option<i64>, Fault>;
    fn bytes(&self, name: &str) -> Result<Option<&[u8]>, Fault>;
    fn text(&self, name: &str) -> Result<Option<&str>, Fault>;
    fn flag(&self, name: &str) -> Result<bool, Fault>;

    /// A non-negative number.
    fn number(&self, name: &str) -> Result<u64, Fault> {
        let number = self.int(name)?.and_then(|number| u64::try_from(number).ok());
        number.ok_or_else(|| malformed(name))
    }

    /// An optional small number.
    fn count(&self, name: &str) -> Result<Option<u32>, Fault> {
        self.int(name)?.map(|number| u32::try_from(number).map_err(|_| malformed(name))).transpose()
    }

    /// An optional time.
    fn time(&self, name: &str) -> Result<Option<UnixSeconds>, Fault> {
        Ok(self.int(name)?.and_then(|number| u64::try_from(number).ok()))
    }

    fn key(&self, name: &str) -> Result<RowKey, Fault> {
        self.int(name)?.map(RowKey).ok_or_else(|| malformed(name))
    }

    fn handle(&self, name: &str) -> Result<Handle, Fault> {
        self.int(name)?.map(|number| Handle(number.cast_unsigned())).ok_or_else(|| malformed(name))
    }

    fn digest(&self, name: &str) -> Result<Option<Sha256Digest>, Fault> {
        self.bytes(name)?.map(|bytes| bytes.try_into().map_err(|_| malformed(name))).transpose()
    }

    /// Required bytes.
    fn blob(&self, name: &str) -> Result<Vec<u8>, Fault> {
        self.bytes(name)?.map(<[u8]>::to_vec).ok_or_else(|| malformed(name))
    }
}

impl Columns for Row {
    fn int(&self, name: &str) -> Result<Option<i64>, Fault> {
        self.try_get(name).map_err(|_| malformed(name))
    }

    fn bytes(&self, name: &str) -> Result<Option<&[u8]>, Fault> {
        self.try_get(name).map_err(|_| malformed(name))
    }

    fn text(&self, name: &str) -> Result<Option<&str>, Fault> {
        self.try_get(name).map_err(|_| malformed(name))
    }

    fn flag(&self, name: &str) -> Result<bool, Fault> {
        self.try_get(name).map_err(|_| malformed(name))
    }
}

/// A malformed row is an error, so that it never makes a paste readable.
pub(super) fn malformed(column: &str) -> Fault {
    Fault::Failed(format!("the column {column} is malformed"))
}
