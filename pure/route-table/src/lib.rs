//! Routes of several sources to one winner per prefix; next hops resolved; wanted minus actual is changes.

#![forbid(unsafe_code)]
