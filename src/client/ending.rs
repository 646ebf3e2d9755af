//! Connections that end prematurely: by a reset, or without a TLS `close_notify`.
//!
//! Invariant: a response without a length is complete only after an orderly close. Must never hide an error.

use std::fmt;
use std::io::{self, ErrorKind};
use ureq::Error;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

/// The error for a premature end.
#[derive(Debug)]
pub struct EndedTooEarly;

impl fmt::Display for EndedTooEarly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection was closed unexpectedly")
    }
}

impl std::error::Error for EndedTooEarly {}

/// The last connector of the chain.
#[derive(Debug)]
pub struct OrderlyEnd;

impl<In: Transport> Connector<In> for OrderlyEnd {
    type Out = Watched<In>;

    fn connect(&self, _: &ConnectionDetails<'_>, chained: Option<In>) -> Result<Option<Self::Out>, Error> {
        Ok(chained.map(Watched))
    }
}

/// Reports a premature end as an error; ureq would take it for the end of the body.
#[derive(Debug)]
pub struct Watched<T>(T);

impl<T: Transport> Transport for Watched<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.0.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.0.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.0.await_input(timeout).map_err(|error| match error {
            Error::Io(error)
                if matches!(
                    error.kind(),
                    ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::UnexpectedEof
                ) =>
            {
                Error::Io(io::Error::other(EndedTooEarly))
            }
            error => error,
        })
    }

    fn is_open(&mut self) -> bool {
        self.0.is_open()
    }

    fn is_tls(&self) -> bool {
        self.0.is_tls()
    }
}
