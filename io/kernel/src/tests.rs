mod fib;
mod harness;
mod routes;
