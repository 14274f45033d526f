"""The containers that are accepted."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Container:
    """A container that we take."""

    #: ffmpeg's short name for what reads it.
    demuxer: str
    #: For people.
    name: str


MP4 = Container("mov", "MP4")
QUICKTIME = Container("mov", "QuickTime")
MATROSKA = Container("matroska", "Matroska")
WEBM = Container("matroska", "WebM")
AVI = Container("avi", "AVI")
MPEGTS = Container("mpegts", "MPEG-TS")
MP3 = Container("mp3", "MP3")
WAV = Container("wav", "WAV")
OGG = Container("ogg", "Ogg")
FLAC = Container("flac", "FLAC")
AAC = Container("aac", "AAC")
MPEG = Container("mpeg", "MPEG-PS")
ASF = Container("asf", "Windows Media")
FLV = Container("flv", "Flash Video")
DV = Container("dv", "DV")
AIFF = Container("aiff", "AIFF")
CAF = Container("caf", "Core Audio")
AC3 = Container("ac3", "AC-3")
EAC3 = Container("eac3", "E-AC-3")
WAVE64 = Container("w64", "Wave64")
AU = Container("au", "AU")
AMR = Container("amr", "AMR")
MP2 = Container("mp3", "MPEG audio")
MXF = Container("mxf", "MXF")
REAL = Container("rm", "RealMedia")
WAVPACK = Container("wv", "WavPack")
TRUE_AUDIO = Container("tta", "True Audio")
GIF = Container("gif", "GIF")
APNG = Container("apng", "APNG")
