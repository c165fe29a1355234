"""An HTTP service for a saved model (extra `serve`); `app.create_app` makes it."""
