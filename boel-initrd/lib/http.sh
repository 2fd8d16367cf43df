# shellcheck shell=sh
# Files of the server over HTTP.

# http_get PATH: what lies there, on stdout. A connection that breaks is taken up again at the byte
# where it broke, so that whoever reads notices nothing but a pause; a server that is away is waited
# for. Otherwise wget's exit code, and http_fault says why.
http_get() {
    wget --no-verbose --no-proxy --timeout=60 --tries="${HTTP_TRIES:-20}" --waitretry=5 \
        --retry-connrefused --retry-on-http-error=500,502,503,504 \
        --output-document=- "$SI_HTTP/$1" 2>"$BOEL_STATE/http.error"
}

# http_fault: wget's last word.
http_fault() {
    tail -n 1 "$BOEL_STATE/http.error"
}
