//! placeholder
pub mod adapters;
pub mod domain;
pub mod ports;
#[cfg(any(test, feature = "testkit"))]
pub mod testkit;
