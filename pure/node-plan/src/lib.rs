//! The agent's planner: what this node wants of its router, its blocks and its status.

#![forbid(unsafe_code)]
