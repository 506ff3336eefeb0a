"""What is made from depth for people and other programs: pictures, files, views of the cloud."""
