//! The Linux kernel's network: routes, links, addresses, namespaces, sysctls.
//!
//! * [`fib`] – the kernel's half of `route-table`: what it holds as a stream of events, and our
//!   routes written in batches. [`fib::Fib::open`] is what the router program uses.
//! * [`routes`] – writing, listing and removing the routes of one [`routes::Owner`], by themselves.
//! * [`links`] – the links and their addresses, once.
//! * [`netns`] – network namespaces, entered on threads of their own.
//! * [`pod`] – a pod's link: addresses, routes, and the record of who has which.
//! * [`protocol`] – the ids by which our routes are known.
//! * [`sysctl`] – `/proc/sys`, written only where it differs.
//!
//! Everything happens in the network namespace of the thread that opens it.

pub mod fib;
pub mod links;
mod message;
pub mod netns;
mod nexthop;
pub mod pod;
pub mod protocol;
pub mod routes;
mod socket;
pub mod sysctl;
mod wire;

#[cfg(test)]
mod tests;
