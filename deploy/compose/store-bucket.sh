#!/bin/sh
# Makes the bucket for images where there is none. Runs in the store's own network, since only there its master can be asked.
set -eu
if echo 's3.bucket.list' | weed shell -master=127.0.0.1:9333 | grep -q '^ *drover-images[[:space:]]'; then exit 0; fi
echo 's3.bucket.create -name drover-images' | weed shell -master=127.0.0.1:9333
