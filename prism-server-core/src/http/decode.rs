//! Decoding of request bodies that reports every problem at once, each with its JSON path.

use serde_json::Value;

pub(crate) use crate::domain::decode::{Node, Object, boolean, nearest};
use crate::{
    domain,
    error::{Error, Result},
};

/// Decodes a body: the value of `decode`, or all the problems that it left behind.
pub(crate) fn decode<T>(body: &Value, decode: impl FnOnce(Node<'_>) -> Option<T>) -> Result<T> {
    domain::decode::decode(body, decode).map_err(Error::invalid)
}
