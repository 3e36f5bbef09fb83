"""What is done now and then to what is handed out. Each is a command of `python -m course_staff`.

copy_notebooks   the notebooks to my/, never over a learner's work
fork             the course becomes yours: every link, badge and install cell
pins             requirements*.txt from the versions installed here
features         trains the feature network behind the Fréchet distance
ship             judges a finished run and ships its weights as the digits model
pictures         the pictures of the README and of notebook 00; `letter`: the letter T of the demos
"""
