#!/bin/sh
echo "rendering at $2"
exec /bin/sleep 3600
