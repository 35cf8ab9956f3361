"""The bytes with which files of a format begin; where nothing else is said, as the format's specification has it."""

from __future__ import annotations

from collections.abc import Mapping

About = tuple[str, str, str]
"""The name, kind and ending of a `FileFormat`."""

HEIC: About = ("a HEIC image", "image", ".heic")

MAGIC: tuple[tuple[int, bytes, str, str, str], ...] = (
    # offset, bytes, name, kind, ending
    (0, b"\x89PNG\r\n\x1a\n", "a PNG image", "image", ".png"),
    (0, b"\xff\xd8\xff", "a JPEG image", "image", ".jpg"),
    (0, b"GIF87a", "a GIF image", "image", ".gif"),
    (0, b"GIF89a", "a GIF image", "image", ".gif"),
    (8, b"CR\x02\0", "a Canon raw image", "image", ".cr2"),
    (0, b"II*\0", "a TIFF image", "image", ".tif"),
    (0, b"MM\0*", "a TIFF image", "image", ".tif"),
    (0, b"II+\0", "a BigTIFF image", "image", ".tif"),
    (0, b"MM\0+", "a BigTIFF image", "image", ".tif"),
    (0, b"FUJIFILMCCD-RAW", "a Fujifilm raw image", "image", ".raf"),
    (0, b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000 image", "image", ".jp2"),
    (0, b"\xffO\xffQ", "a JPEG 2000 image", "image", ".jp2"),
    (0, b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL image", "image", ".jxl"),
    (0, b"\xff\x0a", "a JPEG XL image", "image", ".jxl"),
    (0, b"8BPS", "a Photoshop image", "image", ".psd"),
    (0, b"qoif", "a QOI image", "image", ".qoi"),
    (0, b"DDS ", "a DDS image", "image", ".dds"),
    (0, b"icns", "an icon of macOS", "image", ".icns"),
    (0, b"\0\0\x01\0", "an icon of Windows", "image", ".ico"),
    (0, b"v/1\x01", "an OpenEXR image", "image", ".exr"),
    (0, b"SIMPLE  =", "a FITS image", "image", ".fits"),
    (128, b"DICM", "a DICOM image", "image", ".dcm"),
    (0, b"fLaC", "a FLAC sound", "sound", ".flac"),
    (0, b"OggS", "an Ogg sound", "sound", ".ogg"),
    (0, b"ID3", "an MP3 sound", "sound", ".mp3"),
    (0, b"caff", "a CAF sound", "sound", ".caf"),
    (0, b".snd", "an AU sound", "sound", ".au"),
    (0, b"riff.\x91\xcf\x11", "a Wave64 sound", "sound", ".w64"),
    (0, b"NIST_1A", "a SPHERE sound", "sound", ".sph"),
    (0, b"Creative Voice File", "a VOC sound", "sound", ".voc"),
    (0, b"#!AMR", "an AMR sound", "sound", ".amr"),
    (0, b"wvpk", "a WavPack sound", "sound", ".wv"),
    (0, b"MAC ", "a Monkey's Audio sound", "sound", ".ape"),
    (0, b"TTA1", "a TTA sound", "sound", ".tta"),
    (0, b"\x0bw", "an AC-3 sound", "sound", ".ac3"),
    (0, b"MThd", "a MIDI score", "data", ".mid"),
    (0, b"0&\xb2u\x8ef\xcf\x11", "a Windows Media file", "video", ".wma"),
    (0, b"FLV\x01", "a Flash video", "video", ".flv"),
    (0, b"\0\0\x01\xba", "an MPEG video", "video", ".mpg"),
    (4, b"moov", "a QuickTime video", "video", ".mov"),
    (4, b"mdat", "a QuickTime video", "video", ".mov"),
    (4, b"wide", "a QuickTime video", "video", ".mov"),
    (0, b"%PDF-", "a PDF document", "document", ".pdf"),
    (0, b"{\\rtf", "an RTF document", "document", ".rtf"),
    (0, b"%!PS", "a PostScript document", "document", ".ps"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a document of Microsoft Office before 2007", "document", ".doc"),
    (0, b"\x1f\x8b", "a gzip archive", "archive", ".gz"),
    (0, b"BZh", "a bzip2 archive", "archive", ".bz2"),
    (0, b"\xfd7zXZ\0", "an xz archive", "archive", ".xz"),
    (0, b"\x28\xb5\x2f\xfd", "a Zstandard archive", "archive", ".zst"),
    (0, b"7z\xbc\xaf'\x1c", "a 7-Zip archive", "archive", ".7z"),
    (0, b"Rar!\x1a\x07", "a RAR archive", "archive", ".rar"),
    (257, b"ustar", "a tar archive", "archive", ".tar"),
    (0, b"SQLite format 3\0", "an SQLite database", "data", ".sqlite"),
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file", "data", ".h5"),
    (0, b"PAR1", "a Parquet table", "data", ".parquet"),
    (0, b"ARROW1", "an Arrow table", "data", ".arrow"),
    (0, b"\x93NUMPY", "a NumPy array", "data", ".npy"),
    (0, b"\x7fELF", "a program", "data", ""),
)

SUBTYPES: tuple[tuple[bytes, int, bytes, str, str, str], ...] = (
    # bytes of the container, offset, bytes that say what it holds, name, kind, ending
    (b"RIFF", 8, b"WAVE", "a WAV sound", "sound", ".wav"),
    (b"RF64", 8, b"WAVE", "a WAV sound", "sound", ".wav"),
    (b"FORM", 8, b"AIF", "an AIFF sound", "sound", ".aiff"),
    (b"RIFF", 8, b"WEBP", "a WebP image", "image", ".webp"),
    (b"BM", 6, b"\0\0\0\0", "a BMP image", "image", ".bmp"),
    (b"RIFF", 8, b"AVI ", "an AVI video", "video", ".avi"),
    (b"G", 188, b"G", "an MPEG video", "video", ".ts"),
    (b"P", 2, b"\n", "a NetPBM image", "image", ".pnm"),
)

BRANDS: Mapping[bytes, About] = {
    # how the brand of an ISO media file begins (mp4ra.org); any other is an MP4 video
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"), HEIC),
    **dict.fromkeys((b"mif1", b"msf1"), HEIC),
    **dict.fromkeys((b"avif", b"avis"), ("an AVIF image", "image", ".avif")),
    **dict.fromkeys((b"M4A", b"M4B", b"M4P"), ("an M4A sound", "sound", ".m4a")),
    **dict.fromkeys((b"3gp", b"3gr", b"3gs", b"3ge", b"3gg", b"3g2"), ("a 3GP video", "video", ".3gp")),
    b"qt": ("a QuickTime video", "video", ".mov"),
    b"crx": ("a Canon raw image", "image", ".cr3"),
}

OFFICE: Mapping[bytes, About] = {
    # what the first entries of a ZIP archive hold that is a document (ISO/IEC 29500-2; ODF 1.3, part 2, section 3.3)
    b"word/": ("a Word document", "document", ".docx"),
    b"xl/": ("an Excel workbook", "document", ".xlsx"),
    b"ppt/": ("a PowerPoint document", "document", ".pptx"),
    b"[Content_Types].xml": ("an Office document", "document", ".docx"),
    b"mimetypeapplication/vnd.oasis.opendocument": ("an OpenDocument file", "document", ".odt"),
    b"mimetypeapplication/epub": ("an EPUB book", "document", ".epub"),
}

UNPACK: Mapping[str, tuple[tuple[str, str], ...]] = {
    # programs that unpack an archive, the first that is there, and how
    ".zip": (("python", "python -m zipfile -e '{file}' FOLDER"),),
    ".tar": (("python", "python -m tarfile -e '{file}' FOLDER"),),
    ".gz": (("gzip", "gzip -dc '{file}' > FILE"),),
    ".bz2": (("bzip2", "bzip2 -dc '{file}' > FILE"),),
    ".xz": (("xz", "xz -dc '{file}' > FILE"),),
    ".zst": (("zstd", "zstd -dc '{file}' > FILE"),),
    ".7z": (("7z", "7z x '{file}'"), ("bsdtar", "bsdtar -xf '{file}'")),
    ".rar": (("unrar", "unrar x '{file}'"), ("7z", "7z x '{file}'")),
}

KINDS: Mapping[str, str] = {
    # the kind of a file by its ending
    **{ending: kind for _, _, _, kind, ending in MAGIC if ending},
    **{ending: kind for _, _, _, _, kind, ending in SUBTYPES},
    **{ending: kind for _, kind, ending in BRANDS.values()},
    **dict.fromkeys((".jpeg", ".tiff", ".heif", ".ppm", ".pgm"), "image"),
    **dict.fromkeys((".oga", ".opus", ".aif"), "sound"),
    ".mp4": "video",
    ".webm": "video",
    ".txt": "text",
}
