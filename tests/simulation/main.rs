//! Simulation of servers and clients, in virtual time.

mod scripts;
