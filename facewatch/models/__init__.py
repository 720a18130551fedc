"""The model files of the engine `insightface:PACK`: where they are, what they are, and how they get there.

    graphs      which ONNX file is the detector and which the recogniser
    packs       the packs that are known, with the SHA-256 of every file, and what lies in the models folder: find_pack,
                list_packs, verify
    fetching    a known pack from the release page of insightface, only when asked
    importing   a folder or an archive that the user has
    placing     how a pack gets into its place as a whole, or not at all

A pack is a folder `<models folder>/<name>/` with a detector, a recogniser, and `facewatch.json`, which says what both
were when they came. The other models of insightface's archives (68 and 106 landmarks, age and sex) are left out.
"""
