mod kernel;
mod record;
