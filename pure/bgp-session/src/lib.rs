//! One BGP peer: state machine, timers, collision, capabilities, graceful restart.

#![forbid(unsafe_code)]

mod config;

pub use config::{GracefulRestartConfig, PeerConfig};
