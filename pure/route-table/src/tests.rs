mod configure;
mod driver;
mod model;
mod objects;
mod redistribute;
mod routes;
mod text;
mod tracking;
