# One image for web, worker, beat, bridge and the one-shot commands; the compose file says which it is.

FROM python:3.11-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/amp
ENV PATH=/opt/amp/bin:$PATH
COPY requirements.lock /tmp/requirements.lock
# Hashes: what is installed is byte for byte what was locked.
RUN pip install --require-hashes --only-binary :all: --requirement /tmp/requirements.lock

FROM python:3.11-slim-bookworm
ENV PATH=/opt/amp/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DJANGO_SETTINGS_MODULE=amp.settings \
    AMP_STATIC_ROOT=/srv/static
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin amp \
    # The volume of the broker's credentials takes its owner from here: the user of the Mosquitto image.
    && install -d -o 1883 -g 1883 /mosquitto/credentials
COPY --from=build /opt/amp /opt/amp
WORKDIR /srv/amp
COPY . .
# Nobody may write there later: what isn't compiled now would be compiled at every start of every process.
RUN python -m compileall -q amp catalog devices billing alerts
# collectstatic needs settings that load, and none of the values below: the image holds no secret.
RUN AMP_MODE=production SECRET_KEY=used-while-building-the-image-only-0123456789-0123456789 \
    AMP_FIELD_KEY=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= \
    DATABASE_URL=postgres://build.invalid/amp REDIS_URL=redis://127.0.0.1 MQTT_URL=mqtt://platform:none@127.0.0.1 \
    AMP_BASE_URL=https://build.invalid ALLOWED_HOSTS=build.invalid \
    python manage.py collectstatic --noinput
USER amp
EXPOSE 8000
# What the compose file doesn't say otherwise: threads, so that a long export doesn't take its process along.
ENV GUNICORN_CMD_ARGS="--bind=0.0.0.0:8000 --preload --no-control-socket --worker-class=gthread --threads=8 --timeout=60 \
--graceful-timeout=120"
CMD ["gunicorn", "amp.wsgi"]
