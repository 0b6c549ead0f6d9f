//! Networks and Kubernetes clusters out of Linux namespaces: demo, tests and benchmarks.

fn main() {}
