mod fib;
mod harness;
mod objects;
mod routes;
