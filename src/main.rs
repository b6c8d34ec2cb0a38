//! The `vomsis-connect` program.

fn main() {}
