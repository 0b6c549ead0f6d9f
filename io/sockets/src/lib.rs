//! BGP's TCP: listening, connecting, and cutting streams into frames.
