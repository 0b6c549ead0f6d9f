//! Chance decides what users do and what goes wrong.
