mod driver;
mod model;
mod routes;
mod tracking;
