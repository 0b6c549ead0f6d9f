//! The router's gRPC API over unix sockets and TCP.
