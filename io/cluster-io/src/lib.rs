//! Watches to changes for the planners, their writes to the API server, the leader's Lease.
