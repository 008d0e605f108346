//! Tests of the stores together.
