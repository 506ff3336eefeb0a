"""The drag-and-drop page of `depth_pro_ros web`: a photo in; depth, focal length, cloud, cut-out and files out.

`page` and `server` need Gradio (the extra [web]); the rest works without it.
"""
