//! BGP tables: interned attributes, decision process, multipath, update groups.

#![forbid(unsafe_code)]
