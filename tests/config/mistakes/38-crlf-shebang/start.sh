#!/bin/sh
echo "listening on $PORT"
exec /bin/sleep 3600
