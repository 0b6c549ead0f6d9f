//! The line between the CNI plugin and the agent: one versioned JSON request, one JSON reply.

#![forbid(unsafe_code)]
