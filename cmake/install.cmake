# Installation: see below.
