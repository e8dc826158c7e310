"""Pages: one template, one style, no CDN."""
