"""The Gradio pages; the only room that imports gradio."""
