//! Connections that end too early: a reset, or TLS that stops without saying so.
//!
//! Invariant: only an orderly end is the end of an answer that does not tell its length. Must never hide an error.

use std::fmt;
use std::io::{self, ErrorKind};
use ureq::Error;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

/// What such an end is.
#[derive(Debug)]
pub struct EndedTooEarly;

impl fmt::Display for EndedTooEarly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection ended too early")
    }
}

impl std::error::Error for EndedTooEarly {}

/// The last of a chain of connectors.
#[derive(Debug)]
pub struct OrderlyEnd;

impl<In: Transport> Connector<In> for OrderlyEnd {
    type Out = Watched<In>;

    fn connect(&self, _: &ConnectionDetails<'_>, chained: Option<In>) -> Result<Option<Self::Out>, Error> {
        Ok(chained.map(Watched))
    }
}

/// A connection whose early end is an error: ureq takes these errors for the end of a body.
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
