"""HTTP Live Streaming (RFC 8216) with fragmented MP4 (ISO/IEC 14496-12): values <-> bytes."""
