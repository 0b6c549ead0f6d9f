//! Shows and changes the state of a node's router and of the cluster.

fn main() {}
