mod fib;
mod harness;
mod links;
mod objects;
mod routes;
