//! The CNI plugin: environment and stdin to the agent's socket, its reply to stdout.

fn main() {}
