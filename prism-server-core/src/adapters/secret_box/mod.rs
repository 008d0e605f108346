//! secret_box
