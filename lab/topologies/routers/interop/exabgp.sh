#!/bin/sh
# What ExaBGP hears goes into one file; what it is to do comes from another.
exec 3<&0
cat <&3 >>/run/interop/seen &
exec tail -n +1 -f /run/interop/commands
