"""A contestant: the film as MoviePy 2's own documentation shows it, for whatever MoviePy has.

It has no way to copy pictures, no ducking and no loudness: pictures are always encoded, music lies
lower throughout, and the mix keeps its level.

    python by_moviepy.py JOB.json FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

from job import (
    CRF,
    DUCK_DB,
    FILM_NAME,
    LOGO_MARGIN,
    LOGO_WIDTH,
    MUSIC_DB,
    PRESET,
    SAMPLE_RATE_HZ,
    SOUND_BITS,
    Extras,
    Job,
    read_job,
)
from moviepy import (
    AudioFileClip,
    CompositeAudioClip,
    CompositeVideoClip,
    ImageClip,
    VideoClip,
    VideoFileClip,
    afx,
    concatenate_videoclips,
    vfx,
)


def main() -> None:
    """Make the film of a job."""
    job, folder = read_job(Path(sys.argv[1])), Path(sys.argv[2])
    clips = [_open(job, index) for index in range(len(job.clips))]
    if job.extras is not None:
        film = _delivery(job, job.extras, clips)
    else:
        film = concatenate_videoclips(clips, method="chain" if job.is_uniform else "compose")
    film.write_videofile(
        str(folder / FILM_NAME),
        fps=job.rate,
        codec="libx264",
        preset=PRESET,
        audio_codec="aac",
        audio_fps=SAMPLE_RATE_HZ,
        audio_bitrate=SOUND_BITS,
        temp_audiofile_path=str(folder),
        ffmpeg_params=["-crf", str(CRF), "-profile:v", "high", "-movflags", "+faststart"],
        logger=None,
    )


def _open(job: Job, index: int) -> VideoClip:
    wanted = job.clips[index]
    clip = VideoFileClip(wanted.path).subclipped(0, wanted.frames / job.rate)
    if job.is_uniform:
        return clip
    share = min(job.width_px / clip.w, job.height_px / clip.h)
    return clip.resized((round(clip.w * share), round(clip.h * share)))


def _delivery(job: Job, extras: Extras, clips: list[VideoClip]) -> VideoClip:
    overlap_s, begin_s, placed = extras.overlap_frames / job.rate, 0.0, []
    for index, clip in enumerate(clips):
        effects = [vfx.CrossFadeIn(overlap_s), afx.AudioFadeIn(overlap_s)] if index else []
        if index < len(clips) - 1:
            effects.append(afx.AudioFadeOut(overlap_s))
        placed.append(clip.with_effects(effects).with_start(begin_s))
        begin_s += clip.duration - overlap_s
    card_s = begin_s + overlap_s
    length_s = job.total_frames / job.rate
    card = ImageClip(extras.card, duration=length_s - card_s).resized((job.width_px, job.height_px))
    logo = ImageClip(extras.logo, duration=card_s).resized(width=round(job.width_px * LOGO_WIDTH))
    margin_px = round(job.height_px * LOGO_MARGIN)
    logo = logo.with_position((job.width_px - logo.w - margin_px, margin_px))
    size = (job.width_px, job.height_px)
    film = CompositeVideoClip([*placed, card.with_start(card_s), logo], size=size)
    music = AudioFileClip(extras.music).with_effects(
        [
            afx.AudioLoop(duration=length_s),
            afx.MultiplyVolume(10 ** ((MUSIC_DB - DUCK_DB) / 20)),
            afx.AudioFadeOut(1),
        ]
    )
    # Nor brought to full scale: AudioNormalize of 2.2.1 reads past the end of a composite's clips.
    sound = CompositeAudioClip([film.audio, music])
    return film.with_duration(length_s).with_audio(sound.with_duration(length_s))


if __name__ == "__main__":
    main()
